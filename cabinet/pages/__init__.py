"""The cabinet's pages, a file each tab."""
