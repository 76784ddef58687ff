"""The ranking engine `torch`: a sentence encoder on the CPU. Only this room imports torch and transformers."""
