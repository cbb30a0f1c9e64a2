"""Pixel data and its transfer syntaxes: the one place that knows codecs.

:mod:`.syntaxes` is the table of what can become what; :func:`.transcode.transcode` does it, file to file.
"""
