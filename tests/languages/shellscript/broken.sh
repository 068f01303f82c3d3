#!/bin/sh
# Puts things in order.

LIMIT=5

first() {
  if [ -n "$1" ]; then
    echo "$(second "$1"
}

# Counts the lines of a file.
second() {
  wc -l < "$1"
}

first "$@"
