"""Wikipedia dumps to graded pairs; the modules are imported one by one, so that reading a dump needs no Beam."""
