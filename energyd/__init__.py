"""energyd tells where every joule goes. Importing the package costs nothing and decides nothing."""

__version__ = "0.1.0"
