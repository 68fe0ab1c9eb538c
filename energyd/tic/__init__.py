"""What a French electricity meter says on its customer port (TIC): Linky in both modes.

checksum, framing -> horodate, catalogue -> decoder (bytes in, events out); port and line give it bytes; tool is the command line.
"""
