"""How groups are searched within a layer: what gives the candidates of which layers are chosen."""
