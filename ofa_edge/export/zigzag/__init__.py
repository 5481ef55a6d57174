"""Arrays that are only described: ZigZag's cycles and energy, layer by layer. Modelled, never measured."""
