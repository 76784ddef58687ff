"""The paths of the API, by what they are about; each names the right that it wants."""
