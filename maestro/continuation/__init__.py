"""The durable computation as values: what it waits for, what it decided, what is kept of it."""
