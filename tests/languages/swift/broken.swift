import Foundation

/// A queue that is being typed.
final class Queue<Element> {
    func push(_ element: Element) -> Bool {
        let node = Node(element,
        node.

    /// Takes the oldest.
    func pop() -> Element? {
        return items.popLast()
    }
}

func makeQueue() -> Queue<Int> { Queue<Int>() }
