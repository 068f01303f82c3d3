"""`foreword bench edit`: how much of what is written as blocks is applied, and that nothing lands in a wrong place."""
