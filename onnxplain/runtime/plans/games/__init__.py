"""Designs of games: which coalitions are asked for, round by round, and what their scores make of players."""
