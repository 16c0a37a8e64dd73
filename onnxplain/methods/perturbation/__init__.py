"""Methods that change the input and look at the score: they explain any model."""
