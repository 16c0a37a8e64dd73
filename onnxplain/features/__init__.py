"""What is varied: who the players are, how one is taken away, and how a map becomes the input's."""
