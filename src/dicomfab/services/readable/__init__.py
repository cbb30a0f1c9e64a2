"""What an instance says, for reading: reports, documents, waveforms, references, plans. From a file to a value."""
