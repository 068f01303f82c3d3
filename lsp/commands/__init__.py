"""The work of each subcommand of `foreword`."""
