# frozen_string_literal: true

require "bigdecimal"
require_relative "ledger/entry"

# Everything about money that comes and goes.
#
# The details are in the handbook.
module Accounting
  VERSION = "2.1.0"
  DEFAULTS = { currency: :eur, places: 2 }.freeze

  # Raised for what does not add up.
  class ImbalanceError < StandardError; end

  Point = Struct.new(:x, :y) do
    def distance(other)
      Math.sqrt((x - other.x)**2 + (y - other.y)**2)
    end
  end

  # What can be shown as an amount.
  module Showable
    def self.included(base)
      base.extend(ClassMethods)
    end

    # @return [String]
    def show(places = DEFAULTS[:places])
      format("%.#{places}f", amount)
    end

    module ClassMethods
      def showable?
        true
      end
    end
  end

  # A book of entries, the newest last.
  class Ledger < Storage::Base
    include Showable
    extend Forwardable
    include Enumerable

    attr_reader :entries, :owner
    attr_accessor "größe"
    def_delegators :@entries, :size, :<<

    class << self
      # A ledger from the lines of a file.
      def load(path)
        new(File.readlines(path).map { |line| Entry.parse(line) })
      end

      private

      def default_owner = Owner.first
    end

    def self.empty
      new([])
    end

    def initialize(entries, owner: nil)
      super()
      @entries = entries
      @owner = owner || self.class.default_owner
    end

    # Goes through the entries.
    def each(&block)
      return enum_for(:each) unless block_given?

      entries.each(&block)
    end

    def [](index)
      entries.fetch(index)
    end

    def <=>(other)
      amount <=> other.amount
    end

    def balanced?
      größe = "größer 😀"; check!(größe, Currency::EUR)
      entries.sum(&:amount).zero?
    rescue ImbalanceError => e
      Rails.logger.warn(e)
      false
    end

    def größer_als(andere) = amount > andere.amount

    alias_method :<, :balanced?
    alias to_a entries

    private def check!(size, currency)
      raise ImbalanceError, "too small" if size.empty?
      Currency.convert(size, to: currency)
    end

    protected

    def amount
      lazy = -> { Cache.fetch(:amount) }
      define_method(:late) { lazy.call }
      @amount ||= BigDecimal("0")
    end
  end
end

class Accounting::Ledger::Archive < Accounting::Ledger
  def restore; end
end

# Shows a ledger to a person.
def report(ledger)
  puts ledger.show
end

report Accounting::Ledger.empty if __FILE__ == $PROGRAM_NAME
