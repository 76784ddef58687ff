"""The index of vectors in FAISS, the only room that imports it."""
