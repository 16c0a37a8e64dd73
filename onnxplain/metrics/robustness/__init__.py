"""Whether an explanation stays the same where the input, and the model's answer, almost do."""
