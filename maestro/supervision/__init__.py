"""OTP supervision as values: child specs, the truth table, restart intensity; knows neither Ray nor a clock."""
