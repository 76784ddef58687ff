"""Folders as sources: files that change, mail that arrives; and files opened without ever leaving their root."""
