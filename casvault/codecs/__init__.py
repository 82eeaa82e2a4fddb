"""How the bytes of a chunk are coded; every codec gives the same bytes back, bit by bit."""

from casvault.codecs.choose import encode, encode_in_pieces
from casvault.codecs.codec import CODEC_IDS, MAX_PLAIN_SIZE, Bytes, Layout
from casvault.codecs.registry import codec_of

__all__ = ["CODEC_IDS", "MAX_PLAIN_SIZE", "Bytes", "Layout", "codec_of", "encode", "encode_in_pieces"]
