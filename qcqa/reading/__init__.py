"""Reading files that anybody may have written: what is wrong with one is one error, in one line."""
