"""One writer, any number of readers, a file on tmpfs: the only thing that readers and the aggregator share.

`layout` says where every byte lies; `files` creates, adopts and rotates; `writer` appends; `labels` holds the cold strings;
`batches` judges what was copied; `reader` follows a ring; `dump` puts samples into words; `location` finds a tmpfs.
Importing this package costs nothing: writers stay without numpy.
"""
