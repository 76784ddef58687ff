"""The tick: (state, trigger, field) -> (state, directives), committed once."""
