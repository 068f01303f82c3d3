module Accounting
  # A tax that is being typed.
  class Tax
    RATE = 0.19

    def initialize(rate
      @rate = rate
    end

    # What is owed on an amount.
    def on(amount)
      amount * Rate.new(@rate).
    end

    def self.standard
      new(RATE)
    end
  end
end
