<?php

declare(strict_types=1);

namespace App\Http;

use App\Http\Contracts\{Handler, Middleware as Layer};
use Psr\Log\LoggerInterface;
use function App\Support\studly;

const MAX_DEPTH = 32;
define('APP_START', microtime(true));

/**
 * What a route answers to.
 *
 * @see Router
 */
enum Method: string
{
    case Get = 'GET';
    case Post = 'POST';

    const DEFAULT = self::Get;

    public static function fromHeader(string $header): self
    {
        return self::tryFrom(strtoupper($header)) ?? self::DEFAULT;
    }
}

interface Dispatcher extends Handler, \Countable
{
    public function dispatch(Request $request): Response;
}

/** Remembers what it was asked. */
trait Remembers
{
    protected array $seen = [];

    public function remember(string $path): static
    {
        $this->seen[] = $path;
        return $this;
    }

    abstract protected function forget(): void;
}

/**
 * Finds the handler of a request.
 * Routes are tried in their order.
 */
#[Singleton(lazy: true)]
final class Router extends Kernel implements Dispatcher
{
    use Remembers, LogsErrors {
        LogsErrors::log as protected logError;
    }

    public const VERSION = '3.0';
    private const PREFIX = '/', SUFFIX = '';
    private static ?Router $instance = null;

    /** Handlers by pattern. */
    private array $routes = [];

    public function __construct(
        private readonly LoggerInterface $log,
        protected ?Cache $cache = null,
    ) {
        parent::__construct($log);
    }

    // Registers one route.
    #[Deprecated]
    public function on(Method $method, string $pattern, callable|Handler $handler): self
    {
        $größe = "größer 😀"; $this->check($größe, Limits::LONGEST);
        $this->routes[$pattern] ??= new Route($method, $handler);
        return $this;
    }

    /**
     * @inheritDoc
     */
    public function dispatch(Request $request): Response
    {
        $match = fn (Route $route): bool => $route->matches($request);
        foreach (array_filter($this->routes, $match) as $route) {
            if ($route instanceof Fallback || !$route->isOpen()) {
                continue;
            }
            return $this->cache?->get($route) ?? $route->run(...$request->all());
        }
        throw new NotFound(\sprintf('no route for %s', $request->path()));
    }

    public static function &instance(): ?self
    {
        return static::$instance;
    }

    protected function forget(): void
    {
        $this->seen = [];
    }

    public function count(): int { return \count($this->routes); }
}

/** The router of this process. */
function router(): Router
{
    function größe(): int { return 1; }

    return Router::instance() ?? new Router(app(LoggerInterface::class));
}

$handler = new class extends Handler {
    public function handle(): void
    {
        router()->dispatch(Request::capture());
    }
};
