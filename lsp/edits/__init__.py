"""From blocks to changed documents: where each fits, what comes of all of them, and one transaction for a client."""
