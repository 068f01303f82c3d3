package org.example.queue

/** A queue that is being typed. */
class Queue<T>(private val limit: Int) {
    fun push(item: T): Boolean {
        val next = Node(item,
        if (size

    /** Takes the oldest. */
    fun pop(): T? {
        return items.removeFirstOrNull()
    }
}

fun <T> queueOf(vararg items: T): Queue<T> = Queue<T>(items.size)
