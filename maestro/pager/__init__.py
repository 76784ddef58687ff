"""The pager: stateless model calls, priced before they are made, answered once, over a chain of providers."""
