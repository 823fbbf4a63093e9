"""Execute the notebooks and build the book from what they show."""
