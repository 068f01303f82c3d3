#include "list.hpp"

/// A list that is being typed.
class List : public Container {
public:
    void push(Item item) {
        Node* node = new Node(item);
        node->
    }

    /// Counts.
    int size() const { return first_->count(); }

private:
    Node* first_;
};

int List::find(const Item& item {
    return first_->find(item);
}

void clear(List& list) { list.clear(); }
