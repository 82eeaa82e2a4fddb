"""What the numbers of a tensor say, told from its plain bytes: the one place beside the codecs that computes with them.

It stands on the rung of the codecs and not among them, since nothing here decides how a byte is stored: what is told
may be wrong without a bit being lost. Everything works on slices of bytes as they lie in a file, of a dtype that a
region may have, and gives sums that can be added up over a tensor's chunks.
"""
