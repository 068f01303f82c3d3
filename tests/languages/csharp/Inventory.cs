using System;
using System.Collections.Generic;
using System.Linq;
using Log = Shop.Logging.Logger;

namespace Shop.Stock
{
    /// <summary>
    /// Told whenever the amount of an item changes.
    /// </summary>
    public delegate void AmountChanged(Item item, int before);

    /// <summary>How urgently an item is ordered again.</summary>
    [Flags]
    public enum Urgency : byte
    {
        None = 0,
        Soon = 1,
        Now = 2,
    }

    // One kind of thing on a shelf.
    public record Item(string Name, decimal Price);

    public readonly record struct Place(int Aisle, int Shelf);

    /// <summary>Anything that can be counted.</summary>
    public interface ICountable<out T> where T : class
    {
        int Count { get; }

        IEnumerable<T> All();
    }

    /// <summary>
    /// The stock of one shop.
    /// Knows nothing of money.
    /// </summary>
    /// <remarks>Not safe for threads.</remarks>
    [Serializable]
    public partial class Inventory : Repository<Item>, ICountable<Item>, IDisposable
    {
        public const int MaxShelves = 120;
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
        private readonly Dictionary<string, Item> _items = new();
        private int _lent;

        public event AmountChanged? Changed;

        public Inventory(string name, Log log)
            : base(name)
        {
            _log = log;
        }

        ~Inventory() => Dispose(false);

        /// <summary>How many items there are.</summary>
        public int Count => _items.Count;

        public string Größe { get; set; } = "groß";

        public Item this[string name]
        {
            get { return _items[name]; }
            set { Put(name, value); }
        }

        /// <summary>Puts one item in its place.</summary>
        [Obsolete("Use PutAsync"), MethodImpl(MethodImplOptions.NoInlining)]
        public void Put(string name, Item item)
        {
            int Checked(int amount)
            {
                return Math.Max(amount, 0);
            }

            _items[name] = item ?? throw new ArgumentNullException(nameof(item));
            Changed?.Invoke(item, Checked(_lent));
        }

        public void Put(string name, Item item, Place place) => Put(name, item);

        public async Task<TResult> PutAsync<TResult>(Func<Item, TResult> then) where TResult : IComparable
        {
            var größe = "größer 😀"; await Store.SaveAsync<Item>(größe, Urgency.Now);
            var found = from item in All() where item.Price > MaxShelves select Describe(item);
            return then(found.First());
        }

        public IEnumerable<Item> All() => _items.Values.Where(item => item is Item { Price: > 0 });

        public static Inventory operator +(Inventory left, Inventory right) => left.Merge(right);

        public static implicit operator int(Inventory stock) => stock.Count;

        void IDisposable.Dispose() => Dispose(true);

        private sealed class Lock<TKey> : IDisposable
        {
            public void Dispose() { GC.SuppressFinalize(this); }
        }
    }

    public static class ItemExtensions
    {
        public static bool IsFree(this Item item) => item.Price == decimal.Zero;
    }
}
