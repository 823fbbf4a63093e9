"""The author: the skeleton of a chapter, and the rules that every chapter keeps."""
