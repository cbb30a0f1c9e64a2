"""PACS servers, the AE titles used with each, environments and C-MOVE routes. Pure: values in, values out."""
