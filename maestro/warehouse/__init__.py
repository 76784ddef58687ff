"""What was spent, as rows to ask questions of: made from the feed alone, and made anew from it at any time."""
