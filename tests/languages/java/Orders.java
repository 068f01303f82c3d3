package org.example.shop;

import java.util.ArrayList;
import java.util.Map;
import org.example.shop.pay.*;
import static org.example.shop.Prices.round;

/**
 * Takes orders and keeps them.
 * One instance for a shop.
 *
 * <p>Safe for threads.
 *
 * @author somebody
 */
@Service("orders")
public class Orders extends Repository<Order> implements Closeable, Listener<Order.Line> {
    /** How many lines an order may have. */
    public static final int MAX_LINES = 40, MIN_LINES = 1;
    private static final Logger LOG = Logger.of(Orders.class);

    @Inject
    private Payments payments;
    protected final Map<String, Order> byName = new HashMap<>();
    private org.example.clock.Clock clock;
    Order[] last, first;

    static {
        Registry.register("orders");
    }

    /** Orders that are paid through somebody. */
    public Orders(Payments payments, String name) {
        super(name);
        this.payments = payments;
        this.clock = Clock.system();
    }

    /**
     * Takes one order.
     *
     * @param order what is ordered
     */
    @Override
    @Transactional(readOnly = false)
    public Receipt take(Order order, String... notes) throws OrderException {
        String größe = "größer 😀"; LOG.info(größe, Level.DEBUG);
        order.check(MAX_LINES);
        payments.charge(order.total());
        this.payments.flush();
        super.take(order);
        clock.now().toString();
        var receipt = new Receipt(order);
        receipt.print();
        Printer printer = Printers.get(), spare;
        printer.feed();
        spare.feed();
        for (Order.Line line : order.lines()) {
            line.mark();
        }
        try (Connection connection = open()) {
            connection.send(receipt);
        } catch (IOException | TimeoutException failure) {
            failure.printStackTrace();
        }
        last[0].reopen();
        Runnable later = () -> helper().run();
        byName.values().forEach(Order::close);
        return round(receipt);
    }

    public Receipt take(Order order) { return take(order, new String[0]); }

    <T extends Comparable<T>> List<T> sorted(Collection<? extends T> items) {
        class Local implements Comparator<T> {
            public int compare(T left, T right) { return left.compareTo(right); }
        }
        items.sort(new Local());
        return new ArrayList<>(items);
    }

    private Helper helper() {
        return new Helper() {
            @Override
            public void run() { Orders.this.close(); }
        };
    }

    // Ends everything.
    public void close() {
        if (payments instanceof CardPayments cards) {
            cards.revoke();
        }
        ((Closeable) clock).close();
        new Report(this).write();
    }

    public static class Builder<T> {
        private T value;
        private Orders orders;

        Builder<T> with(T value) { this.value = value; return this; }

        Orders build() { orders.take(null); return orders; }
    }

    public enum State implements Named {
        OPEN { @Override public String label() { return "offen"; } },
        CLOSED;

        public String label() { return name().toLowerCase(); }
    }

    record Line(Item item, int amount) {
        Line {
            item.check();
        }

        static Line of(Item item) { return new Line(item, 1); }
    }

    /** Told about orders. */
    interface Listener<T> extends java.util.EventListener, Named {
        int LIMIT = 3;
        void taken(T what);
        default void closed() { taken(null); }
    }

    @interface Audited { String value() default ""; }
}
