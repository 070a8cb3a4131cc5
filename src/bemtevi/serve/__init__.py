"""Answers out: named views over one consistent snapshot, the questions that users ask, and their forms."""
