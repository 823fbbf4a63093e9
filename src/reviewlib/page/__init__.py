"""The page: what a notebook calls to show tables and figures."""
