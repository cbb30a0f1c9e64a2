"""DIMSE services (PS3.7) over associations: ``scu`` asks, ``scp`` answers. Plain values in, plain values out."""
