namespace Shop.Orders;

/// <summary>An order that is being typed.</summary>
public class Order
{
    public Order(Customer customer) { Customer = customer; }

    /// <summary>Adds a line.</summary>
    public void Add(Item item, int amount)
    {
        var line = new OrderLine(item,
        Lines.

    public decimal Total()
    {
        return Lines.Sum(line => line.Price);
    }
}
