"""What packs are worth: `foreword bench context`."""
