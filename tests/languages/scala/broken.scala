package org.example.queues

/** A queue that is being typed. */
class Queue[A](limit: Int) {
  def push(item: A): Boolean = {
    val next = new Node(item,
    next.

  /** Takes the oldest. */
  def pop(): Option[A] = {
    items.headOption
  }
}

object Queue {
  def of[A](items: A*): Queue[A] = new Queue[A](items.size)
}
