"""Bodies as ordered lists of labelled shapes in patient coordinates (LPS, mm), voxelised on demand."""
