"""Small wrong edits of the package, and a runner that requires a test to fail for each."""
