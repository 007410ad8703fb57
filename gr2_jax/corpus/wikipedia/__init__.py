"""Wikipedia dumps to graded pairs. Import the modules one by one: only some of them need Beam."""
