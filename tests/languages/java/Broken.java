package org.example.shop;

/** A basket that is being typed. */
public class Broken extends Base {
    private Items items;

    public void add(Item item) {
        items.
    }

    /** What it costs. */
    public Money total() {
        return items.sum(new Tax(

    }

    void clear() { items.clear(); }
}
