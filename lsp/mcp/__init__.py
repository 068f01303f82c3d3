"""The index for agents, over the Model Context Protocol (`foreword mcp`)."""
