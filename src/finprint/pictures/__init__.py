"""Photos as pixels: reading, decoding, hashing; crops in shards."""
