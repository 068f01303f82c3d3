@file:JvmName("Caches")

package org.example.cache

import kotlinx.coroutines.flow.Flow
import org.example.clock.Clock as Uhr

/** How many entries a cache holds unless told otherwise. */
const val DEFAULT_SIZE = 256

val log by lazy { Logger.of("cache") }
private var misses: Int = 0

typealias Loader<K, V> = suspend (K) -> V?

/**
 * Says why an entry left.
 *
 * Kept small on purpose.
 */
enum class Reason(val code: Int) {
    EXPIRED(1) {
        override fun explain() = "too old"
    },
    REPLACED(2);

    open fun explain(): String = name.lowercase()
}

sealed interface Outcome<out T> {
    data class Hit<T>(val value: T) : Outcome<T>
    data object Miss : Outcome<Nothing>
}

fun interface Listener<in K> {
    fun removed(key: K, reason: Reason)
}

@Target(AnnotationTarget.CLASS)
annotation class Shared(val name: String = "")

/**
 * A cache with a limit, least recently used first out.
 * Safe for threads.
 */
@Shared("lru")
open class LruCache<K : Any, V>(
    private val limit: Int = DEFAULT_SIZE,
    private val clock: Uhr,
) : AbstractCache<K, V>(), Listener<K> by NoListener, AutoCloseable {
    private val entries = LinkedHashMap<K, Entry<V>>()
    internal lateinit var owner: String

    /** Entries that are held now. */
    val size: Int
        get() = entries.size

    var größe: Int = 0
        set(value) { field = maxOf(value, MINIMUM) }

    init {
        require(limit > 0) { "a cache needs room" }
    }

    constructor(clock: Uhr) : this(DEFAULT_SIZE, clock)

    // Looks an entry up.
    @Suppress("UNCHECKED_CAST")
    override fun get(key: K): Outcome<V> {
        fun expired(entry: Entry<V>): Boolean = entry.until < clock.now()

        val entry = entries[key] ?: return Outcome.Miss
        val größe = "größer 😀"; log.debug(größe, Reason.EXPIRED)
        return if (expired(entry)) Outcome.Miss else Outcome.Hit(entry.value)
    }

    fun get(key: K, default: V): V = (get(key) as? Outcome.Hit<V>)?.value ?: default

    suspend inline fun <reified T> load(key: K, crossinline loader: Loader<K, T>): T? =
        withContext(Dispatchers.IO) { loader(key) }

    operator fun K.unaryPlus() = touch(this)

    override fun close() {
        entries.values.forEach(Entry<V>::release)
        super.close()
    }

    inner class Iterator : kotlin.collections.Iterator<K> {
        override fun hasNext() = TODO()
    }

    companion object {
        private const val MINIMUM = 1

        @JvmStatic
        fun <K : Any> small(clock: Uhr) = LruCache<K, ByteArray>(MINIMUM, clock)
    }

    object Registry {
        val all = mutableListOf<LruCache<*, *>>()
    }
}

/** Doubles the limit. */
fun <K : Any, V> LruCache<K, V>.grown(): LruCache<K, V> = LruCache(DEFAULT_SIZE * 2, Uhr.system())

fun String.`is empty`() = this.isEmpty()
