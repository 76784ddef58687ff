"""Event routing: events, subjects, subscriptions, and the sources that bring the world's news in."""
